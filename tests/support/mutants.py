"""Faults that the tests must notice: python -m tests.support.mutants [words of a name ...]

Each is planted in a copy of the project, alone, and the test that holds its law is run there. The table says which tests
failed, as they must; the exit code is 1 if one passed. Some five minutes; tests/test_mutants.py, in seconds, looks whether
the texts to replace are still there.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.copies import copied_to

RECONSTRUCTIONS = "tests/callbacks/test_reconstruction_metrics.py"
EVALUATION = "tests/callbacks/test_generation_metrics.py"
JUDGED_IN_TRAINING = f"{EVALUATION}::test_the_judge_learns_from_training_images_and_is_tested_on_the_others"
JUDGED = "tests/test_evaluate.py::test_judges_are_tested_on_images_that_they_never_saw"
METHODS = "tests/contracts/test_methods.py"
HALF_LIFE = f"{METHODS}::test_averages_have_the_half_life_that_is_asked_for"
SHOWN = f"{METHODS}::test_averaged_weights_and_no_others_are_shown"
GUARD = "tests/lightning_modules/test_steps.py::test_no_value_that_is_not_finite_passes_the_guard"
NETWORKS = "tests/lightning_modules/poly_inr/test_networks.py"
RECIPE = "tests/lightning_modules/poly_inr/test_module.py"
INVERSION = "tests/lightning_modules/tasks/test_inversion.py"
SEARCH = "tests/generative/inversion/test_search.py"
FILLS = "tests/generative/inversion/test_fills.py"
STAGES = "tests/lightning_modules/test_weights.py"
PARTS = "tests/lightning_modules/test_base.py::test_parts_of_a_batch_give_the_weights_of_the_whole"
PRIORS = "tests/generative/priors"
LOSSES = "tests/generative/adversarial/test_losses.py"
DCGAN = "tests/lightning_modules/dcgan"
PGGAN = "tests/lightning_modules/pggan"
RESTORATION = "tests/lightning_modules/tasks/test_restoration.py"
COMBINATIONS = "tests/metrics/test_combinations.py"
LATENTS = "tests/generative/latents"
DETECTION = "tests/metrics/test_detection.py"
DETECTOR = "tests/lightning_modules/detector"
CROPS = "tests/datamodules/test_defect_crops.py"
RATES = f"{RECIPE}::test_both_rates_fall_over_the_last_share_of_the_budget"


@dataclass(frozen=True)
class Mutant:
    """``right`` of ``file``, which stands there once, replaced by ``wrong``; ``test`` is the node that must fail."""

    name: str
    file: str
    right: str
    wrong: str
    test: str


MUTANTS = (
    Mutant(
        "boxes of one score are called one by one",
        "metrics/detection.py",
        "np.diff(scores[order]) != 0, True",
        "np.diff(scores[order]) < 2, True",
        f"{DETECTION}::test_recall_by_hand",
    ),
    Mutant(
        "a given box is found twice",
        "metrics/detection.py",
        "stands[row], free[nearest] = True, False",
        "stands[row], free[nearest] = True, True",
        f"{DETECTION}::test_nearest_first_class_for_class",
    ),
    Mutant(
        "thresholds of recall in float32",
        "metrics/detection.py",
        "np.linspace(0.0, 1.0, 101).tolist()",
        "np.linspace(0.0, 1.0, 101, dtype=np.float32).tolist()",
        f"{DETECTION}::test_averages_are_cocos_own",
    ),
    Mutant(
        "found classes counted from the background",
        "lightning_modules/detector/networks.py",
        'one["labels"] - 1}',
        'one["labels"]}',
        f"{DETECTOR}/test_networks.py::test_it_finds_what_torchvisions_finds",
    ),
    Mutant(
        "a detector's losses are means over samples",
        "lightning_modules/detector/networks.py",
        "(len(counts) * number.clamp(min=1).to(like.dtype))",
        "number.sum().expand(len(counts)).to(like.dtype)",
        f"{DETECTOR}/test_networks.py::test_the_losses_of_a_batch_are_means_over_its_images",
    ),
    Mutant(
        "anchors of all images drawn alike",
        "lightning_modules/detector/networks.py",
        "torch.Generator().manual_seed(seed)",
        "torch.Generator().manual_seed(0)",
        f"{DETECTOR}/test_networks.py::test_samples_are_functions_of_their_seed_and_leave_the_global_generator_alone",
    ),
    Mutant(
        "mirrored crops with the boxes of those that are not",
        "datamodules/patches/crops.py",
        "(size - right, size - left)",
        "(left, right)",
        f"{CROPS}::test_turned_boxes_bound_what_was_turned",
    ),
    Mutant(
        "half of a box is enough",
        "datamodules/patches/crops.py",
        "clipped > VISIBLE * whole",
        "clipped >= VISIBLE * whole",
        f"{CROPS}::test_half_of_a_box_is_not_enough",
    ),
    Mutant(
        "crops beyond the border of a small picture",
        "datamodules/patches/crops.py",
        "height, width = extent.tolist()",
        "height, width = picture.shape[1:]",
        f"{CROPS}::test_made_pictures_have_their_share_and_lie_within_their_own_border",
    ),
    Mutant(
        "labels of samples shifted by one",
        "metrics/samples.py",
        "return None if labels is None else labels.cpu()",
        "return None if labels is None else (labels.cpu() + 1) % self.method.num_classes",
        f"{EVALUATION}::test_each_image_shows_the_class_that_its_label_names",
    ),
    Mutant(
        "judge tested on its training images, while training and at its test stage",
        "callbacks/generation_metrics.py",
        'test=None if judge is None else real_images(datamodule, "test")',
        'test=None if judge is None else real_images(datamodule, "train")',
        JUDGED_IN_TRAINING,
    ),
    Mutant(
        "judge of pixels tested on its training images, evaluate.py",
        "launch/evaluate/instruments.py",
        'pixel_judge(labelled, metrics), real_images(labelled, "test")',
        'pixel_judge(labelled, metrics), real_images(labelled, "train")',
        f"{JUDGED}[pixels]",
    ),
    Mutant(
        "classifier as judge and extractor tested on its training images",
        "launch/evaluate/judges.py",
        'real_images(self.datamodule, "test")',
        'real_images(self.datamodule, "train")',
        f"{JUDGED}[classifier]",
    ),
    Mutant(
        "half-life of averages 8 times too long",
        "generative/averaging.py",
        "0.5 ** (batch_images / half_life)",
        "0.5 ** (batch_images / half_life / 8)",
        "tests/generative/test_averaging.py::test_half_life_is_in_images",
    ),
    Mutant(
        "half-life of all methods 8 times too long",
        "lightning_modules/steps.py",
        "half_life_images=self.half_life_images,",
        "half_life_images=8 * self.half_life_images,",
        f"{HALF_LIFE}[poly_inr]",
    ),
    Mutant(
        "running mean of w moved by 0.998",
        "lightning_modules/poly_inr/networks.py",
        "(1 - self.average_decay) / -torch.expm1",
        "self.average_decay / -torch.expm1",
        f"{NETWORKS}::test_the_running_mean_of_w_is_its_closed_form",
    ),
    Mutant(
        "running mean of w not corrected for its start",
        "lightning_modules/poly_inr/networks.py",
        " / -torch.expm1(updates * math.log(self.average_decay))",
        "",
        f"{NETWORKS}::test_the_running_mean_of_w_is_its_closed_form",
    ),
    Mutant(
        "Poly-INR draws by the generator that trains",
        "lightning_modules/poly_inr/module.py",
        "return self.averaged_generator(latents, labels",
        "return self.generator(latents, labels",
        f"{SHOWN}[poly_inr]",
    ),
    Mutant(
        "a classifier answers by the network that trains",
        "lightning_modules/classification.py",
        "return self.averaged_network.features(images)",
        "return self.network.features(images)",
        f"{SHOWN}[classifier]",
    ),
    Mutant(
        "segmentation answers by the network that trains",
        "lightning_modules/segmentation.py",
        "return self.averaged_network(images)",
        "return self.network(images)",
        f"{SHOWN}[dgm_segmentation]",
    ),
    Mutant(
        "best of precision, recall and accuracy by min",
        "metrics/measures.py",
        'return min(one, other) if direction == "lower" else max(one, other)',
        "return min(one, other)",
        f"{EVALUATION}::test_the_best_value_is_the_highest_of_what_is_good_and_the_lowest_of_what_is_bad",
    ),
    Mutant(
        "the best checkpoint is the worst",
        "callbacks/checkpoints.py",
        '== "lower" else -1.0',
        '== "higher" else -1.0',
        f"{RECONSTRUCTIONS}::test_the_best_checkpoint_is_that_of_the_smallest_error_whichever_way_it_is_measured[mae]",
    ),
    Mutant(
        "the last state is measured before it is concluded",
        "callbacks/measured.py",
        "method.crossed(self.every_kimg) and not trainer.should_stop",
        "method.crossed(self.every_kimg)",
        "tests/callbacks/test_conclusion.py::test_the_last_state_is_concluded_before_it_is_measured_saved_and_tested",
    ),
    Mutant(
        "images are made again by the labels of others",
        "metrics/samples.py",
        "self.known_labels[first : first + count]",
        "self.known_labels[:count]",
        "tests/metrics/test_samples.py::test_each_image_is_made_again_by_its_own_label_in_the_method_s_precision",
    ),
    Mutant(
        "authenticity against the mean radius",
        "metrics/functional.py",
        "(distances > own[nearest])",
        "(distances > own.mean())",
        "tests/metrics/test_functional.py::test_a_copy_is_nearer_than_the_next_of_its_own_original",
    ),
    Mutant(
        "an infinite loss passes the guard",
        "callbacks/budget.py",
        "in method.losses.items() if not math.isfinite(float(value))",
        "in method.losses.items() if math.isnan(float(value))",
        GUARD,
    ),
    Mutant(
        "an infinite gradient passes the guard",
        "callbacks/budget.py",
        "if gradients and not bool(torch.isfinite(",
        "if gradients and bool(torch.isnan(",
        GUARD,
    ),
    Mutant(
        "R1 with a minus",
        "lightning_modules/poly_inr/module.py",
        "return loss + 0.5 * self.r1_gamma",
        "return loss - 0.5 * self.r1_gamma",
        f"{RECIPE}::test_the_penalty_adds_half_of_gamma_times_the_steps_that_it_stands_for",
    ),
    Mutant(
        "R1 without the factor of the steps between",
        "lightning_modules/poly_inr/module.py",
        "self.r1_gamma * self.r1_every * penalty",
        "self.r1_gamma * penalty",
        f"{RECIPE}::test_the_critic_takes_the_penalty_s_gradient",
    ),
    Mutant(
        "R1 by gamma instead of its half",
        "lightning_modules/poly_inr/module.py",
        "0.5 * self.r1_gamma * self.r1_every",
        "self.r1_gamma * self.r1_every",
        f"{RECIPE}::test_the_critic_takes_the_penalty_s_gradient",
    ),
    Mutant(
        "R1 at every step",
        "lightning_modules/poly_inr/module.py",
        "self.r1_gamma > 0 and self.images_seen // self.global_batch % self.r1_every == 0",
        "self.r1_gamma > 0",
        f"{RECIPE}::test_every_third_step_is_penalised",
    ),
    Mutant(
        "rates fall over all but the last share",
        "lightning_modules/poly_inr/module.py",
        "self.budget_images * (1.0 - self.decay_share)",
        "self.budget_images * self.decay_share",
        RATES,
    ),
    Mutant(
        "rates are set without their factor",
        "lightning_modules/steps.py",
        'optimizer.defaults["lr"] * factor',
        'optimizer.defaults["lr"]',
        RATES,
    ),
    Mutant(
        "the next stage starts from what trained instead of its average",
        "lightning_modules/weights.py",
        'return below(f"{AVERAGED}{network}.", self.state) or below',
        "return below",
        f"{STAGES}::test_the_next_stage_starts_from_the_averages_and_from_what_has_none",
    ),
    Mutant(
        "a continued run starts from its weights again",
        "lightning_modules/base.py",
        "if self.weights is not None and self.images_seen == 0:",
        "if self.weights is not None:",
        f"{STAGES}::test_a_continued_run_reads_no_weights",
    ),
    Mutant(
        "parts of a batch add up to more than the batch",
        "lightning_modules/steps.py",
        "self.manual_backward(objective(part) / self.accumulate)",
        "self.manual_backward(objective(part))",
        f"{PARTS}[2]",
    ),
    Mutant(
        "rates are never set",
        "lightning_modules/poly_inr/module.py",
        "        self.set_rates(self.rate_factor())\n",
        "",
        RATES,
    ),
    Mutant(
        "a search that reads the hole",
        "generative/inversion/objective.py",
        "known = measure(targets)\n",
        "known = targets\n",
        f"{INVERSION}::test_nothing_reads_the_hole",
    ),
    Mutant(
        "a start of a search that reads the hole",
        "generative/inversion/search.py",
        "known = through(targets)",
        "known = targets",
        f"{SEARCH}::test_the_nearest_is_that_of_brute_force",
    ),
    Mutant(
        "one mask for all images of a search",
        "generative/inversion/measurements.py",
        "Masked(self.known[numbers.to(self.known.device)])",
        "Masked(self.known[:1].expand(len(numbers), -1, -1, -1))",
        "tests/generative/inversion/test_measurements.py::test_a_mask_is_an_images_own",
    ),
    Mutant(
        "harmonic fill that forgets the border of the hole",
        "generative/inversion/fills.py",
        "-(border @ values.T)",
        "(border @ values.T)",
        f"{FILLS}::test_a_ramp_is_harmonic",
    ),
    Mutant(
        "tuned weights that stay",
        "generative/inversion/tuning.py",
        "parameter.copy_(value)",
        "value.copy_(parameter)",
        "tests/generative/inversion/test_tuning.py::test_weights_follow_and_come_back",
    ),
    Mutant(
        "an image's own weights that draw nothing",
        "generative/inversion/tuning.py",
        "functional_call(self, own,",
        "functional_call(self, self.own,",
        "tests/generative/inversion/test_tuning.py::test_an_images_own_weights_are_those_of_tuning_it_alone",
    ),
    Mutant(
        "tuned images that are taken from the last step",
        "generative/inversion/tuning.py",
        'images = best.point["images"]',
        "pass",
        "tests/generative/inversion/test_tuning.py::test_an_image_is_taken_from_the_step_that_is_best_on_what_is_watched",
    ),
    Mutant(
        "time for a search that leaves out the samples it starts from",
        "lightning_modules/tasks/search.py",
        "max(LEAST, seconds - before)",
        "seconds",
        f"{RESTORATION}::test_seconds_bound_all_that_a_search_does",
    ),
    Mutant(
        "chance that may hold out every known pixel",
        "lightning_modules/tasks/search.py",
        ".argmax(dim=1)] = True",
        ".argmax(dim=1)] &= True",
        f"{RESTORATION}::test_chance_never_holds_out_all_or_nothing",
    ),
    Mutant(
        "an arm that is given the images it refused",
        "lightning_modules/tasks/arms.py",
        "if row not in refused]",
        "if row not in ()]",
        f"{RESTORATION}::test_an_image_that_an_arm_cannot_fill_costs_that_image_alone",
    ),
    Mutant(
        "masks that ignore the number of the image",
        "generative/rendering/holes.py",
        'f"blocks of image {number}"',
        '"blocks"',
        "tests/generative/rendering/test_holes.py::test_a_mask_is_a_function_of_seed_and_number",
    ),
    Mutant(
        "errors of a hole spread over the whole image",
        "metrics/quality.py",
        "(errors * part).sum(dim=(1, 2, 3)) / part.sum(dim=(1, 2, 3))",
        "(errors * part).mean(dim=(1, 2, 3))",
        "tests/metrics/test_quality.py::test_hidden_known_and_all_pixels_by_hand",
    ),
    Mutant(
        "transport of a stable law by the root of the squared weights",
        "generative/priors/paths.py",
        "index=prior.stability)",
        "index=2.0)",
        f"{PRIORS}/test_paths.py::test_strictly_stable_laws_are_scaled_by_their_index",
    ),
    Mutant(
        "a prior of a checkpoint that is not taken from it",
        "lightning_modules/priors.py",
        'self.prior.load_state(checkpoint.get("prior", {}))',
        "pass",
        "tests/lightning_modules/test_priors.py::test_what_a_prior_read_from_disk_is_in_the_checkpoint_and_is_taken_from_there",
    ),
    Mutant(
        "extrapolation as if -z had the law of z",
        "generative/priors/divergences.py",
        "second = density if small > 0 else density[::-1]  # -z has the mirrored law",
        "second = density",
        f"{PRIORS}/test_divergences.py::test_masses_on_the_path_are_those_of_a_quadrature",
    ),
    Mutant(
        "a density scaled as if its bins were points",
        "generative/priors/tabulated.py",
        "1.0 / 12.0 if self.jitter else 0.0",
        "0.0",
        f"{PRIORS}/test_nonparametric.py::test_a_coordinate_has_mean_0_and_the_deviation_that_is_asked_for",
    ),
    Mutant(
        "the radial prior solved for in another dimension",
        "generative/priors/radial.py",
        "return solve_norms(dim,",
        "return solve_norms(100,",
        f"{PRIORS}/test_radial.py::test_the_optimum_is_the_measured_one",
    ),
    Mutant(
        "angles between latents of one dimension more",
        "generative/priors/norms.py",
        "** (dim - 2)",
        "** (dim - 1)",
        f"{PRIORS}/test_norms.py::test_cosines_have_mean_0_and_variance_1_over_dim",
    ),
    Mutant(
        "a discrepancy that compares rows with themselves",
        "generative/adversarial/mmd.py",
        "total / (size * (size - 1))",
        "matrix.mean(dim=(-2, -1))",
        "tests/generative/adversarial/test_mmd.py::test_the_estimate_is_the_mean_over_all_pairs_of_different_rows",
    ),
    Mutant(
        "least squares towards minus the target of fakes",
        "generative/adversarial/losses.py",
        "(fake - fake_target)",
        "(fake + fake_target)",
        f"{LOSSES}::test_least_squares_with_the_targets_of_pearson",
    ),
    Mutant(
        "the generator learns before the critic's first steps",
        "lightning_modules/dcgan/module.py",
        "self.global_batch + 1) % self.critic_steps",
        "self.global_batch) % self.critic_steps",
        f"{DCGAN}/test_module.py::test_the_generator_learns_after_every_third_batch",
    ),
    Mutant(
        "spectral normalisation that leaves the last layer out",
        "lightning_modules/dcgan/networks.py",
        "for layer in [*self.halvings, self.linear]:",
        "for layer in self.halvings:",
        f"{DCGAN}/test_networks.py::test_spectral_norm_brings_every_layer_to_one",
    ),
    Mutant(
        "statistics of the batch that are running averages",
        "lightning_modules/dcgan/networks.py",
        "layer.running_mean, layer.running_var = None, None",
        "pass",
        f"{DCGAN}/test_statistics.py::test_batch_statistics_are_those_of_the_training_and_leave_the_averages_alone",
    ),
    Mutant(
        "groups that begin wherever images are asked for",
        "lightning_modules/base.py",
        "range(first - first % size,",
        "range(first,",
        f"{DCGAN}/test_drawing.py::test_neighbours_that_are_not_asked_for_have_the_labels_in_turn",
    ),
    Mutant(
        "the codes of a midpoint are one code",
        "metrics/combinations.py",
        "if place == 0 else",
        "if True else",
        f"{COMBINATIONS}::test_variance_preserving_midpoints_of_normal_codes_have_the_law_of_codes",
    ),
    Mutant(
        "the way of drawing is not stated",
        "records/results.py",
        "            sampling=method.sampling,\n",
        "",
        "tests/launch/evaluate/test_capabilities.py::test_the_way_of_drawing_is_chosen_and_stated",
    ),
    Mutant(
        "an enlarging kernel that gathers where it must scatter",
        "lightning_modules/pggan/layers.py",
        "weight.flip(2, 3).transpose(0, 1)",
        "weight.transpose(0, 1)",
        f"{PGGAN}/test_networks.py::test_one_transposed_convolution_is_doubling_and_a_convolution",
    ),
    Mutant(
        "a transition the other way round",
        "lightning_modules/pggan/networks.py",
        "torch.lerp(coarse, self.image(h, before, levels=level), blend)",
        "torch.lerp(self.image(h, before, levels=level), coarse, blend)",
        f"{PGGAN}/test_networks.py::test_a_generator_in_a_transition_blends_two_sizes",
    ),
    Mutant(
        "moments that outlive their stage",
        "lightning_modules/pggan/module.py",
        "optimizer.state.clear()",
        "pass",
        f"{PGGAN}/test_module.py::test_moments_go_where_a_stage_begins_or_ends",
    ),
    Mutant(
        "a stage that is one step late",
        "lightning_modules/pggan/module.py",
        "self.show_stage(seen)",
        "self.show_stage(self.images_seen)",
        f"{PGGAN}/test_module.py::test_the_networks_grow_with_the_images_seen",
    ),
    Mutant(
        "attention that is scaled always",
        "lightning_modules/pggan/attention.py",
        "if scaled else 1.0",
        "",
        f"{PGGAN}/test_attention.py::test_self_attention_place_by_place",
    ),
    Mutant(
        "one kernel of spatial attention for all images",
        "lightning_modules/pggan/attention.py",
        'F.conv2d(grouped, weights["spatial_weight"],',
        'F.conv2d(grouped, weights["spatial_weight"][:1].expand_as(weights["spatial_weight"]),',
        f"{PGGAN}/test_attention.py::test_cbam_by_a_module_of_each_image",
    ),
    Mutant(
        "every restart from the samples of the first",
        "lightning_modules/tasks/search.py",
        "self.method.latents(restart * count, count,",
        "self.method.latents(0, count,",
        f"{RESTORATION}::test_several_answers_are_averaged_and_their_doubt_is_measured",
    ),
    Mutant(
        "a watched search that ends where it ends",
        "generative/inversion/search.py",
        "point, images = best.point, space.draw(best.point)",
        "pass",
        f"{SEARCH}::test_a_watched_search_ends_at_the_best_step_of_each_image",
    ),
    Mutant(
        "a journal that keeps half an image",
        "lightning_modules/tasks/journal.py",
        ' if found[json.loads(line)["image"]] >= set(arms)',
        "",
        f"{RESTORATION}::test_a_run_that_was_broken_off_goes_on",
    ),
    Mutant(
        "combinations of distinct members as if they were independent",
        "generative/latents/combinations.py",
        "squares if members is None else (members * squares - 1.0) / (members - 1)",
        "squares",
        f"{LATENTS}/test_combinations.py::test_covariances_of_all_combinations_of_four_members",
    ),
    Mutant(
        "weights of a combination that are no shares",
        "generative/latents/combinations.py",
        "return given / given.sum()",
        "return given",
        f"{LATENTS}/test_combinations.py::test_covariances_of_all_combinations_of_four_members",
    ),
    Mutant(
        "a nearest neighbour that is the latent itself",
        "generative/latents/combinations.py",
        "distances[first] = torch.inf",
        "pass",
        f"{LATENTS}/test_combinations.py::test_smote_lies_between_a_latent_and_one_of_its_nearest",
    ),
    Mutant(
        "latents of all classes by the same random words",
        "generative/latents/samplers.py",
        'stream.branch(f"class {label}")',
        "stream",
        f"{LATENTS}/test_samplers.py::test_classes_are_drawn_by_words_of_their_own",
    ),
    Mutant(
        "noise of one degree of freedom less",
        "generative/latents/densities.py",
        "math.sqrt(len(centred))",
        "math.sqrt(len(centred) - 1)",
        f"{LATENTS}/test_densities.py::test_noise_has_the_covariance_of_the_class_exactly",
    ),
    Mutant(
        "a kernel that widens the class",
        "generative/latents/densities.py",
        "math.sqrt(1.0 - self.width**2)",
        "1.0",
        f"{LATENTS}/test_samplers.py::test_draws_have_the_mean_and_the_covariance_of_the_class",
    ),
    Mutant(
        "a mixture beside noise along its own directions",
        "generative/latents/subspaces.py",
        "(law(number, stream) - directions @ rest)",
        "law(number, stream)",
        f"{LATENTS}/test_densities.py::test_beyond_the_leading_directions_a_mixture_is_the_noise_of_the_gaussian",
    ),
    Mutant(
        "a flow that runs backwards in time",
        "generative/latents/flow.py",
        "(step + 0.5) / EULER_STEPS, dtype",
        "1.0 - (step + 0.5) / EULER_STEPS, dtype",
        f"{LATENTS}/test_flow.py::test_the_exact_velocity_of_a_point_leads_every_noise_there",
    ),
    Mutant(
        "a subset of a bank that forgets where its members come from",
        "generative/latents/bank.py",
        "self.origins[numbers], dtype",
        "None, dtype",
        f"{LATENTS}/test_bank.py::test_a_subset_keeps_as_many_of_each_class_and_says_where_they_come_from",
    ),
    Mutant(
        "a margin over the mean of the other classes",
        "generative/latents/confidence.py",
        "others.amax(dim=1)",
        "others.mean(dim=1)",
        f"{LATENTS}/test_confidence.py::test_lemma_1_and_both_bounds",
    ),
)


def changed(text: str, mutant: Mutant) -> str:
    """The ``text`` of the mutant's file with its fault; ValueError unless what it replaces stands there once."""
    found = text.count(mutant.right)
    if found != 1:
        raise ValueError(
            f"{mutant.name}: {mutant.right!r} stands {found} times in {mutant.file}: give MUTANTS a text that stands there once"
        )
    return text.replace(mutant.right, mutant.wrong)


@contextmanager
def planted(mutant: Mutant, root: Path) -> Iterator[None]:
    path = root / mutant.file
    text = path.read_text()
    path.write_text(changed(text, mutant))
    try:
        yield
    finally:
        path.write_text(text)


def passes(tests: Sequence[str], root: Path) -> bool:
    """Whether ``tests`` pass in the copy at ``root``; ValueError where they could not be run at all."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *tests],
        cwd=root,
        capture_output=True,
        text=True,
        # A file changed twice in a second would be taken from its old bytecode.
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    if done.returncode not in (0, 1):  # no failed test: an error of pytest, or none was found
        raise ValueError(f"{' '.join(tests)} could not be run:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.returncode == 0


def main(words: Sequence[str] = ()) -> int:
    chosen = [mutant for mutant in MUTANTS if all(word in mutant.name for word in words)]
    survivors = 0
    with tempfile.TemporaryDirectory() as folder:
        root = copied_to(Path(folder) / "polymorph")
        if not passes(sorted({mutant.test for mutant in chosen}), root):
            raise ValueError("the tests fail as the project is: nothing can be said of mutants")
        width = max(len(mutant.name) for mutant in chosen)
        print(f"| {'mutant':<{width}} | noticed | by |\n|{'-' * (width + 2)}|---------|----|")
        for mutant in chosen:
            with planted(mutant, root):
                survived = passes([mutant.test], root)
            survivors += survived
            print(f"| {mutant.name:<{width}} | {'NO' if survived else 'yes':<7} | {mutant.test} |", flush=True)
    print(f"{len(chosen) - survivors} of {len(chosen)} were noticed")
    return int(survivors > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

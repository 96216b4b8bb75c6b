"""What happens beside training. Callbacks know the contracts of `lightning_modules.base`, never a method."""

"""The variational autoencoder (Kingma and Welling 2014), with and without classes, of the networks that ReGene has."""

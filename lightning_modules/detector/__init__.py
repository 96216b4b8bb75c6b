"""Faster R-CNN: boxes, classes and scores of the objects on an image."""

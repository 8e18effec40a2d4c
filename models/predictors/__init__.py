"""Predictors: trees and graphs that turn context rows into probabilities."""

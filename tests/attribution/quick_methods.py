"""Settings of methods for tests of all of them."""

# Fewer passes than by default, so that all of them run in a moment.
QUICK = {
    "SmoothGrad": {"samples": 4},
    "IntegratedGradients": {"steps": 6},
    "InteriorGradients": {"steps": 6},
    "GuidedIntegratedGradients": {"steps": 6},
    "LIME": {"samples": 20},
    "MeaningfulPerturbation": {"steps": 4},
}

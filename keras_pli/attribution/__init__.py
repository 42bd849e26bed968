from .attribution import Attribution
from .gradients import GradientTimesInput, Saliency
from .method import Method

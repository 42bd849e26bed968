"""What can be known of the samples of a round: colours, contours, pictures, neighbours, explanations."""

"""What the training loop calls and a first reader can ignore: speed, safety, many processes."""

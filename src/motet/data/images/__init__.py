"""Images: read by Pillow, opened in threads ahead of the step, and changed at random in training.

What an input of images keeps of its rows are their paths or bytes (`stored.Images`); pixels are
made when a batch is taken, or once if they fit into memory. Draws of the augmentation depend on
(seed, epoch, row) alone, and one draw serves the pixels and all labels per pixel of a row.
"""

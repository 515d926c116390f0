"""What a part of a recipe is worth: the recipe without it, trained anew and scored on the very same documents."""

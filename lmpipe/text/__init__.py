"""Pure functions over text: text to text, text to offsets; no files, no settings, no state."""

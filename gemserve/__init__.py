"""The command `gemserve`: one word for each of the project's programs. It imports a program only to run it."""

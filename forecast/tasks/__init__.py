"""What the commands do: values in, a result value out, progress told to a Teller. Nothing here prints or exits."""

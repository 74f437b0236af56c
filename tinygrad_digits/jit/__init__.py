"""The tape as a program: traced once, lowered by passes, run from then on."""

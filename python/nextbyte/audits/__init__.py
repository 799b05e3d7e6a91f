"""Other laws of a `ByteLM` than the canonical one, for audits: raw covers, all segmentations."""

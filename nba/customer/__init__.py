"""One customer at one moment: context, appraisal, contact history."""

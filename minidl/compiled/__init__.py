"""Steps and predictions as compiled programs: recorded, checked, run and explained."""

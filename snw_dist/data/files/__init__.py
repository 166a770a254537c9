"""Files as users have them: FASTA, tables, score files; cells and records with the line they stand on."""

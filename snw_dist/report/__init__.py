"""Reports: what runs, comparisons and screens left on disk, as one page that opens without network."""

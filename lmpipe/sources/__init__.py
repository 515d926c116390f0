"""Sources turn bytes into documents: Wikipedia dumps, news archives and feeds, novels, anything local."""

"""One module for each page: it reads, it acts through `gateway`, it renders one template."""

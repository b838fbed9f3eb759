//! Health, metrics; later the API and the page.

"""The web console: pages rendered here, in English and Chinese, whose scripts ask the same API as every client."""

"""What training, searching and exactness are on a GPU: `python -m loadtest.gpu --out DIR`, without vLLM."""

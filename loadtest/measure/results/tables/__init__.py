"""The tables of the documentation: each of them as Markdown, from the JSON files of docs/measurements that it names."""

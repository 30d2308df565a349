//! A durable mob of LLM agents in a browser tab or an edge worker.

//! The integration tests: the five tools against a real RabbitMQ.

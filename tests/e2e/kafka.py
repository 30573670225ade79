"""A Kafka cluster in memory, of librdkafka's mock, in a process of its own."""

import json
import subprocess

from harness import ROOT, Failure, Skipped, check_equal


class Kafka:
    def __init__(self, context, topic="clicks"):
        self.got_path = context.directory / "kafka.txt"
        program = context.directory / "kafka_mock"
        source = ROOT / "tests" / "e2e" / "kafka_mock.c"
        try:
            built = subprocess.run(["gcc", "-O1", str(source), "-o", str(program), "-lrdkafka"],
                                   capture_output=True, text=True)
        except FileNotFoundError:
            raise Skipped("there is no gcc") from None
        if built.returncode != 0:
            raise Skipped(f"librdkafka-dev is not installed: {built.stderr.splitlines()[:1]}")
        self.process = subprocess.Popen([str(program), topic, str(self.got_path)], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.address = self.process.stdout.readline().strip()
        self.topic = topic

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.stdout.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def sink(self, **more):
        return {"type": "kafka", "brokers": self.address, "topic": self.topic,
                "options": ["reconnect.backoff.max.ms=300"], **more}

    def tell(self, word):
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        check_equal(word, self.process.stdout.readline().strip(), "done")

    def messages(self):
        """All that arrived so far, in the order of each of its partitions: (partition, offset, key, value)."""
        text = self.got_path.read_bytes().decode()
        found = []
        for line in text[:text.rfind("\n") + 1].splitlines():
            partition, offset, key, value = line.split(" ", 3)
            found.append((int(partition), int(offset), key, value))
        return found

    def clicks(self):
        """(partition, offset) -> the message, which is the same each time it was sent."""
        once = {}
        for partition, offset, key, value in self.messages():
            if once.setdefault((partition, offset), (key, value)) != (key, value):
                raise Failure(f"partition {partition}, offset {offset} came as two different messages")
        return {place: (key, json.loads(value)) for place, (key, value) in once.items()}

// A program with a click counter inside: no port, no HTTP, no other process.
//   example DATA_DIRECTORY
#include <clickmill/node.h>

#include <chrono>
#include <cstdint>
#include <iostream>
#include <thread>

namespace {

std::int64_t now_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

int run(const std::string& directory) {
  clickmill::Config config;
  config.listeners = false;
  config.data_dir = directory;
  config.partitions = 4;
  config.threads = 1;
  clickmill::Node node(config);
  node.put_ad({"ad_1", "adv_1", "banner", "https://example.com/summer-sale"});

  const std::int64_t begin_ms = now_ms();
  for (const char* user : {"ann", "bob", "ann"}) {
    clickmill::Click click;
    click.ad_id = "ad_1";
    click.user_id = user;
    auto receipt = node.record(click);
    std::cout << user << " goes to " << receipt.redirect_url;
    const bool durable = receipt.fate.get() == clickmill::Fate::durable;
    std::cout << (durable ? ", recorded\n" : ", lost\n");
  }

  clickmill::CountsQuery query;
  query.ad_id = "ad_1";
  query.from_ms = begin_ms;
  query.to_ms = begin_ms + 60'000;
  // A click shows within a second.
  clickmill::Bucket total;
  while ((total = node.counts(query).total).clicks < 3)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  std::cout << total.clicks << " clicks of " << *total.unique_users << " visitors" << std::endl;

  try {
    clickmill::Click nowhere;
    nowhere.ad_id = "ad_2";
    node.record(nowhere);
  } catch (const clickmill::RequestError& error) {
    std::cout << error.what() << std::endl;
  }
  // Who runs it may look at it until there is a line.
  std::cin.get();
  node.stop();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: example DATA_DIRECTORY\n";
    return 2;
  }
  try {
    return run(argv[1]);
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}

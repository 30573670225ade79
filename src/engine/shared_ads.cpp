#include "engine/shared_ads.h"

namespace clickmill::engine {

void SharedAds::connect(Machine& machine, const Clock& clock, int64_t timeout_ms,
                        Metrics& metrics) {
  cluster::AdFinder::Options options;
  options.timeout_ms = timeout_ms;
  finder_ = std::make_unique<cluster::AdFinder>(shared_, *machine.ads_desk(), clock, options);
  enricher_ = std::make_unique<collector::Enricher>(*finder_, clock, collector::Enricher::Options{},
                                                    metrics);
  shared_.connect(*machine.ads_desk());
}

void SharedAds::tick() {
  finder_->tick();
  enricher_->tick();
}

}  // namespace clickmill::engine

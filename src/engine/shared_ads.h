#pragma once

#include <memory>

#include "catalog/catalog.h"
#include "cluster/ad_finder.h"
#include "cluster/shared_catalog.h"
#include "collector/enricher.h"
#include "engine/machine.h"

namespace clickmill::engine {

/// The ads of a node that shares them with the others of its cluster: its own catalog, the
/// cluster's around it, and who asks for ads that it doesn't know yet.
/// Thread: the owner's, except tick().
class SharedAds {
 public:
  /// Both are borrowed. `own` is what Machine::Outside::ads must be.
  SharedAds(catalog::Catalog& own, FileSystem& files) : shared_(own, files) {}
  /// What all others take for the node's catalog.
  catalog::Catalog& catalog() { return shared_; }
  /// Once the machine is there; it and the others are borrowed.
  void connect(Machine& machine, const Clock& clock, int64_t timeout_ms, Metrics& metrics);
  // After connect().
  catalog::Lookup& lookup() { return *finder_; }
  collector::Enricher& enricher() { return *enricher_; }
  /// Call every few milliseconds, on one thread.
  void tick();

 private:
  cluster::SharedCatalog shared_;
  std::unique_ptr<cluster::AdFinder> finder_;
  std::unique_ptr<collector::Enricher> enricher_;
};

}  // namespace clickmill::engine

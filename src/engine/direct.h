#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <vector>

#include "api/context.h"
#include "clickmill/node.h"

namespace clickmill::engine {

/// What a program that holds a node asks of it without HTTP: the same checks, rows and clicks
/// as the routes have. Node's methods are described in clickmill/node.h.
///
/// Lives until the engine has stopped: close() first, settle() after it.
/// Thread: any. The mutex guards the gate alone: calls share it, and close() waits for them.
/// Throws RequestError.
class Direct {
 public:
  explicit Direct(api::Context& context);
  ~Direct();
  Direct(const Direct&) = delete;
  Direct& operator=(const Direct&) = delete;

  std::string record(const Click& click, std::function<void(Fate)> told);
  Counts counts(const CountsQuery& query);
  Top top(const TopQuery& query);
  bool put_ad(const Ad& ad);
  bool remove_ad(const std::string& ad_id);
  std::optional<Ad> find_ad(const std::string& ad_id);
  std::vector<std::string> not_ready();

  /// Waits for calls under way, and refuses those that come.
  void close();
  /// Those whose fate nobody will tell any more are undecided.
  void settle();

 private:
  class Answer;
  class Answers;
  std::shared_lock<std::shared_mutex> enter();
  void refuse_foreign_ads() const;

  api::Context& context_;
  std::shared_mutex gate_;
  std::atomic<bool> closed_{false};
  const std::shared_ptr<Answers> answers_;
};

}  // namespace clickmill::engine

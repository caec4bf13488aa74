// The public class. It only passes calls to the driver, which has the thread and the queues.
#include "tern/redis.h"

#include "bridge/driver.h"
#include "redis/link.h"

#include <utility>

namespace tern::redis {

Bridge::Bridge(Options options)
    : driver_(std::make_unique<bridge::Driver>(std::make_unique<Link>(options))) {}
Bridge::Bridge(Bridge&&) noexcept = default;
Bridge& Bridge::operator=(Bridge&&) noexcept = default;
Bridge::~Bridge() = default;

std::string Bridge::problem() const { return driver_->problem(); }
bool Bridge::is_durable() const noexcept { return driver_->is_durable(); }
Result<void> Bridge::attach(BridgeSink& sink, const BridgeOptions& options) {
  return driver_->attach(sink, options);
}
bool Bridge::interest(std::string_view topic, bool wanted) noexcept {
  return driver_->interest(topic, wanted);
}
PublishStatus Bridge::publish(std::string_view topic, const SharedMessage& message,
                              const Origin& origin) noexcept {
  return driver_->publish(topic, message, origin);
}
bool Bridge::history(std::string_view topic, Position after, std::size_t count) noexcept {
  return driver_->history(topic, after, count);
}
void Bridge::detach(std::chrono::nanoseconds deadline) noexcept { driver_->detach(deadline); }
BridgeCounters Bridge::counters() const { return driver_->counters(); }

}  // namespace tern::redis

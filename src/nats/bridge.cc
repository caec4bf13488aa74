// The public class: a Driver with a Link.
#include "tern/nats.h"

#include "bridge/driver.h"
#include "nats/link.h"

#include <utility>

namespace tern::nats {

struct Bridge::Parts {
  explicit Parts(std::unique_ptr<Link> made) : link(*made), driver(std::move(made)) {}

  Link& link;  // of the driver
  bridge::Driver driver;
};

Bridge::Bridge(Options options)
    : parts_(std::make_unique<Parts>(std::make_unique<Link>(std::move(options)))) {}

Bridge::Bridge(Bridge&& other) noexcept : parts_(std::move(other.parts_)) {}

Bridge::~Bridge() = default;

std::string Bridge::problem() const { return parts_->driver.problem(); }

Result<void> Bridge::attach(BridgeSink& sink, const BridgeOptions& options) {
  if (options.order == Order::local_first) {
    if (parts_->link.options().envelope == Envelope::none) {
      return Error::described(
          Errc::options_invalid,
          "Order::local_first needs Envelope::headers, because echoes are dropped");
    }
    parts_->link.always_tell_origin();
  }
  return parts_->driver.attach(sink, options);
}

bool Bridge::interest(std::string_view topic, bool wanted) noexcept {
  return parts_->driver.interest(topic, wanted);
}

PublishStatus Bridge::publish(std::string_view topic, const SharedMessage& message,
                              const Origin& origin) noexcept {
  return parts_->driver.publish(topic, message, origin);
}

void Bridge::detach(std::chrono::nanoseconds deadline) noexcept { parts_->driver.detach(deadline); }

BridgeCounters Bridge::counters() const { return parts_->driver.counters(); }

}  // namespace tern::nats

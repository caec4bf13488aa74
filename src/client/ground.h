// What the clients of one loop share.
#pragma once

#include "tern/client.h"
#include "tern/engine.h"
#include "tern/tls.h"

#include "base/intrusive_list.h"
#include "connection/metrics.h"
#include "connection/registry.h"
#include "crypto/random.h"
#include "net/loop_core.h"
#include "tls/scratch.h"

#include <memory>
#include <string>
#include <vector>

namespace tern::client {

/// The options of one or more clients, in the form that their engines need.
struct Settings {
  explicit Settings(std::shared_ptr<ClientOptions> given)
      : options(std::move(given)),
        engine{.limits = options->dial.limits,
               .timeouts = options->dial.timeouts,
               .deflate = options->dial.deflate} {}

  const std::shared_ptr<ClientOptions> options;
  const EngineOptions engine;
};

struct GroundTag;

/// A client on this ground.
class Settler : public base::ListHook<GroundTag> {
 public:
  /// The loop ends; this is the last moment at which it can be used.
  virtual void on_loop_end() noexcept = 0;

 protected:
  Settler() noexcept = default;
  ~Settler() = default;
};

/// The memory and the connections of the clients of one loop. Lifetime: as long as a client of the
/// loop or one of its connections. Thread: the loop's.
class Ground final : public std::enable_shared_from_this<Ground>, private net::Dependent {
 public:
  explicit Ground(net::LoopCore& core);
  Ground(const Ground&) = delete;
  Ground& operator=(const Ground&) = delete;

  /// Returns the ground of this loop; makes it for the first client. Throws std::bad_alloc.
  static std::shared_ptr<Ground> of(net::LoopCore& core);
  /// Returns the settings of these options. Clients that are made one after the other with the same
  /// options share them. Throws std::bad_alloc.
  std::shared_ptr<const Settings> settings_of(std::shared_ptr<ClientOptions> options);
  void add(Settler& client) noexcept { clients_.push_back(client); }
  /// Returns a random number, uniform over all values.
  std::uint64_t draw() noexcept;

  Workspace workspace{};
  tls::Scratch scratch;
  /// For TLS to a proxy, because the inner TLS calls the outer one while it works.
  tls::Scratch proxy_scratch;
  /// The loaded certificates of options without a memory of their own.
  TlsMemory tls{};
  connection::Metrics metrics{};
  const std::shared_ptr<connection::Registry> registry;

 private:
  void on_loop_end() noexcept override;

  crypto::Random random_{};
  std::weak_ptr<const Settings> last_settings_{};
  base::IntrusiveList<Settler, GroundTag> clients_{};
};

}  // namespace tern::client

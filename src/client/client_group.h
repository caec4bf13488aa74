// The memory and the connections that the clients of one loop share.
#pragma once

#include "tern/client.h"
#include "tern/engine.h"
#include "tern/tls.h"

#include "base/intrusive_list.h"
#include "client/retry.h"
#include "client/shared_text.h"
#include "connection/environment.h"
#include "connection/metrics.h"
#include "connection/registry.h"
#include "crypto/random.h"
#include "net/loop_core.h"
#include "tls/scratch.h"

#include <memory>
#include <string_view>

namespace tern::client {

class ClientGroup;

/// The options of one or more clients of a loop, in the forms that are needed. So a client itself
/// is small.
struct Settings {
  Settings(Loop& loop, std::shared_ptr<ClientGroup> on, std::shared_ptr<ClientOptions> given);

  const std::shared_ptr<ClientGroup> group;
  const std::shared_ptr<ClientOptions> options;
  const EngineOptions engine;
  const BackoffOptions backoff;
  const connection::Shared shared;
};

struct ClientGroupTag;

/// A client of this group.
class GroupMember : public base::ListHook<ClientGroupTag> {
 public:
  /// The loop ends; this is the last moment at which it can be used.
  virtual void on_loop_end() noexcept = 0;

 protected:
  GroupMember() noexcept = default;
  ~GroupMember() = default;
};

/// The memory and the connections of the clients of one loop. Lifetime: as long as a client of the
/// loop or one of its connections. Thread: the loop's.
class ClientGroup final : public std::enable_shared_from_this<ClientGroup>, private net::Dependent {
 public:
  explicit ClientGroup(net::LoopCore& core);
  ClientGroup(const ClientGroup&) = delete;
  ClientGroup& operator=(const ClientGroup&) = delete;

  /// Returns the settings of these options in the group of this loop, which the first client
  /// makes. Clients that are made one after the other with the same options share their settings.
  /// Throws std::bad_alloc.
  static std::shared_ptr<const Settings> settings_of(Loop& loop,
                                                     std::shared_ptr<ClientOptions> options);
  /// Returns this URL. Clients that are made one after the other for the same URL share it. Throws
  /// std::bad_alloc.
  SharedText url_of(std::string_view url);
  void add(GroupMember& client) noexcept { clients_.push_back(client); }
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
  static std::shared_ptr<ClientGroup> of(net::LoopCore& core);
  void on_loop_end() noexcept override;

  crypto::Random random_{};
  std::weak_ptr<const Settings> last_settings_{};
  SharedText last_url_{};
  base::IntrusiveList<GroupMember, ClientGroupTag> clients_{};
};

}  // namespace tern::client

// The order of the steps, and what a redirect changes. A redirect begins the steps again.
#include "client/steps.h"

#include "client/redirect.h"

#include <utility>

namespace tern::client {
namespace {

using Protocol = ProxyServer::Protocol;

Step step_behind_socket(const Route& route, bool secure) noexcept {
  if (!route.proxy) return secure ? Step::secure : Step::upgrade;
  if (route.proxy->protocol == Protocol::https) return Step::secure_proxy;
  return route.proxy->protocol == Protocol::socks5 ? Step::resolve_target : Step::tunnel;
}

}  // namespace

Step first_step(const Route& route) noexcept {
  switch (route.first_hop) {
    case Route::FirstHop::given_socket:
      return Step::take_socket;
    case Route::FirstHop::unix_socket:
      return Step::connect_unix;
    case Route::FirstHop::tcp:
      break;
  }
  return Step::resolve;
}

Step step_after(Step done, const Route& route, bool secure) noexcept {
  switch (done) {
    case Step::resolve:
      return Step::race;
    case Step::take_socket:
    case Step::connect_unix:
    case Step::race:
      return step_behind_socket(route, secure);
    case Step::secure_proxy:
    case Step::resolve_target:
      return Step::tunnel;
    case Step::tunnel:
      return secure ? Step::secure : Step::upgrade;
    case Step::find_route:
      return first_step(route);
    case Step::secure:
    case Step::upgrade:
      break;
  }
  return Step::upgrade;
}

Stage stage_of(Step step, const Route& route) noexcept {
  switch (step) {
    case Step::find_route:
      return Stage::prepare;
    case Step::resolve:
      return route.proxy ? Stage::proxy : Stage::resolve;
    case Step::take_socket:
    case Step::connect_unix:
    case Step::race:
      return route.proxy ? Stage::proxy : Stage::connect;
    case Step::resolve_target:
      return Stage::resolve;
    case Step::secure_proxy:
    case Step::tunnel:
      return Stage::proxy;
    case Step::secure:
      return Stage::tls;
    case Step::upgrade:
      break;
  }
  return Stage::upgrade;
}

Error failure_of(Error failure, Step step, const Route& route) {
  const bool names_proxy = route.proxy && (step == Step::resolve || step == Step::race);
  if (!names_proxy) return failure;
  return Error::described(failure.code(), route.proxy->name() + ": " + failure.message());
}

void StageClock::done(Step step, TimePoint now) noexcept {
  switch (step) {
    case Step::resolve:
      times_.resolve = now - began_;
      return;
    case Step::take_socket:
    case Step::connect_unix:
    case Step::race:
      times_.connect = now - began_;
      return;
    case Step::tunnel:
      times_.proxy = now - began_;
      return;
    case Step::upgrade:
      times_.upgrade = now - began_;
      return;
    case Step::find_route:
    case Step::secure_proxy:
    case Step::resolve_target:
    case Step::secure:  // TLS runs with the upgrade, see secured()
      return;
  }
}

void StageClock::secured(std::optional<TimePoint> when) noexcept {
  if (when) times_.tls = *when - began_;
}

Result<bool> Destination::follow(const Error& failure) {
  const bool is_followed = failure.code() == Errc::upgrade_refused &&
                           is_redirect(failure.http_status()) && options_->max_redirects > 0 &&
                           options_->socket < 0;
  if (!is_followed) return false;
  if (followed_ == options_->max_redirects) {
    return Error(Errc::too_many_redirects, "dial " + name_of(url_));
  }
  auto to = client::follow(url_, failure.header("Location"));
  if (!to) return std::move(to).error();
  const bool by_path = !url_.unix_path.empty() || !options_->unix_socket.empty();
  if (by_path && !is_same_origin(url_, *to)) {
    return Error::described(Errc::redirect_refused,
                            "redirect: it leads from a Unix socket to another host");
  }
  to->unix_path = url_.unix_path;
  options_ = std::make_shared<const DialOptions>(options_after_redirect(*options_, url_, *to));
  url_ = *std::move(to);
  ++followed_;
  return true;
}

}  // namespace tern::client

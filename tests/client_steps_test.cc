// The order of the steps of an attempt, the stage of each failure, and what a redirect changes.
#include "client/steps.h"
#include "http/url.h"

#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <vector>

namespace {

using tern::DialOptions;
using tern::Errc;
using tern::Error;
using tern::Stage;
using tern::client::Destination;
using tern::client::first_step;
using tern::client::ProxyServer;
using tern::client::Route;
using tern::client::stage_of;
using tern::client::Step;
using tern::client::step_after;

Route route_by(Route::FirstHop hop) {
  Route route;
  route.first_hop = hop;
  return route;
}

Route route_through(ProxyServer::Protocol protocol) {
  Route route;
  route.proxy.emplace();
  route.proxy->protocol = protocol;
  return route;
}

std::vector<Step> steps(const Route& route, bool secure) {
  std::vector<Step> all{first_step(route)};
  while (all.back() != Step::upgrade) all.push_back(step_after(all.back(), route, secure));
  return all;
}

TEST(ClientSteps, FollowTheRoute) {
  using enum Step;
  using Steps = std::vector<Step>;
  using Protocol = ProxyServer::Protocol;
  const Route tcp = route_by(Route::FirstHop::tcp);
  EXPECT_EQ(steps(tcp, false), (Steps{resolve, race, upgrade}));
  EXPECT_EQ(steps(tcp, true), (Steps{resolve, race, secure, upgrade}));
  const Route unix_socket = route_by(Route::FirstHop::unix_socket);
  EXPECT_EQ(steps(unix_socket, false), (Steps{connect_unix, upgrade}));
  EXPECT_EQ(steps(unix_socket, true), (Steps{connect_unix, secure, upgrade}));
  EXPECT_EQ(steps(route_by(Route::FirstHop::given_socket), true),
            (Steps{take_socket, secure, upgrade}));
  EXPECT_EQ(steps(route_through(Protocol::http), true),
            (Steps{resolve, race, tunnel, secure, upgrade}));
  EXPECT_EQ(steps(route_through(Protocol::https), false),
            (Steps{resolve, race, secure_proxy, tunnel, upgrade}));
  EXPECT_EQ(steps(route_through(Protocol::socks5), false),
            (Steps{resolve, race, resolve_target, tunnel, upgrade}));
  EXPECT_EQ(steps(route_through(Protocol::socks5h), false),
            (Steps{resolve, race, tunnel, upgrade}));
}

TEST(ClientSteps, EachStageHasItsName) {
  EXPECT_EQ(tern::stage_name(Stage::prepare), "prepare");
  EXPECT_EQ(tern::stage_name(Stage::resolve), "resolve");
  EXPECT_EQ(tern::stage_name(Stage::connect), "connect");
  EXPECT_EQ(tern::stage_name(Stage::proxy), "proxy");
  EXPECT_EQ(tern::stage_name(Stage::tls), "tls");
  EXPECT_EQ(tern::stage_name(Stage::upgrade), "upgrade");
  EXPECT_EQ(tern::stage_name(Stage::open), "open");
  EXPECT_EQ(tern::stage_name(static_cast<Stage>(99)), "unknown");
}

TEST(ClientSteps, AFirstHopToAProxyBelongsToTheProxy) {
  const Route straight = route_by(Route::FirstHop::tcp);
  EXPECT_EQ(stage_of(Step::resolve, straight), Stage::resolve);
  EXPECT_EQ(stage_of(Step::race, straight), Stage::connect);
  EXPECT_EQ(stage_of(Step::connect_unix, straight), Stage::connect);
  EXPECT_EQ(stage_of(Step::secure, straight), Stage::tls);
  EXPECT_EQ(stage_of(Step::upgrade, straight), Stage::upgrade);
  const Route behind = route_through(ProxyServer::Protocol::socks5);
  EXPECT_EQ(stage_of(Step::resolve, behind), Stage::proxy);
  EXPECT_EQ(stage_of(Step::race, behind), Stage::proxy);
  EXPECT_EQ(stage_of(Step::secure_proxy, behind), Stage::proxy);
  EXPECT_EQ(stage_of(Step::tunnel, behind), Stage::proxy);
  EXPECT_EQ(stage_of(Step::resolve_target, behind), Stage::resolve);
  EXPECT_EQ(stage_of(Step::secure, behind), Stage::tls);
}

Destination destination(const std::string& url, int max_redirects) {
  auto options = std::make_shared<DialOptions>();
  options->max_redirects = max_redirects;
  options->headers = {{"Cookie", "secret"}};
  return {*tern::http::parse_url(url), std::move(options)};
}

Error redirect_to(const std::string& location, int status = 302) {
  return Error(Errc::upgrade_refused, "upgrade",
               {.status = status, .fields = {{"Location", location}}});
}

TEST(ClientDestination, FollowsRedirectsUpToTheLimit) {
  Destination to = destination("ws://a.test/x", 2);
  ASSERT_TRUE(*to.follow(redirect_to("/y")));
  EXPECT_EQ(to.url().target, "/y");
  EXPECT_EQ(to.options().headers.size(), 1u);
  ASSERT_TRUE(*to.follow(redirect_to("ws://b.test/z")));
  EXPECT_EQ(to.url().host, "b.test");
  EXPECT_TRUE(to.options().headers.empty()) << "a secret goes to another origin";
  EXPECT_EQ(to.follow(redirect_to("/again")).error().code(), Errc::too_many_redirects);
}

TEST(ClientDestination, OtherFailuresAreNoRedirects) {
  Destination off = destination("ws://a.test/x", 0);
  EXPECT_FALSE(*off.follow(redirect_to("/y"))) << "redirects are off";
  Destination on = destination("ws://a.test/x", 5);
  EXPECT_FALSE(*on.follow(redirect_to("/y", 404)));
  EXPECT_FALSE(*on.follow(Error(Errc::connection_reset)));
  EXPECT_EQ(on.url().target, "/x");
}

TEST(ClientDestination, AUnixSocketKeepsItsOrigin) {
  Destination to = destination("ws+unix:///run/app.sock:/x", 5);
  ASSERT_TRUE(*to.follow(redirect_to("/y")));
  EXPECT_EQ(to.url().unix_path, "/run/app.sock");
  EXPECT_EQ(to.follow(redirect_to("ws://b.test/")).error().code(), Errc::redirect_refused);
}

}  // namespace

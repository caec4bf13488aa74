// Every case against the engine itself, in both roles, without a socket or a clock.
#include "conformance/engine_link.h"
#include "conformance/results.h"
#include "support/engine_table.h"

#include <tuple>

namespace tern::conformance {
namespace {

class ConformanceEngine : public testing::TestWithParam<std::tuple<Role, const char*>> {};

TEST_P(ConformanceEngine, Rfc6455_PassesEveryCaseOfTheGroup) {
  const auto [role, group] = GetParam();
  expect_results("engine", role, group, [role = role](const Case&, const Script& script) {
    EngineLink link(role);
    return run(script, link);
  });
}

INSTANTIATE_TEST_SUITE_P(Groups, ConformanceEngine,
                         testing::Combine(testing::Values(Role::server, Role::client),
                                          testing::Values("1", "2", "3", "4", "5", "6", "7", "9",
                                                          "10")),
                         [](const auto& row) {
                           return std::string(test::name(std::get<0>(row.param))) + '_' +
                                  std::get<1>(row.param);
                         });

}  // namespace
}  // namespace tern::conformance

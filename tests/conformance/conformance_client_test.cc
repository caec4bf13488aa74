// Every case except the bulk against build/bin/echo_back. The tester is the server.
#include "conformance/programs.h"

namespace tern::conformance {
namespace {

class ConformanceClient : public testing::TestWithParam<const char*> {};

TEST_P(ConformanceClient, Rfc6455_PassesEveryCaseOfTheGroup) { expect_client_results(GetParam()); }

INSTANTIATE_TEST_SUITE_P(Groups, ConformanceClient,
                         testing::Values("1", "2", "3", "4", "5", "6", "7", "10"),
                         [](const auto& row) { return row.param; });

}  // namespace
}  // namespace tern::conformance

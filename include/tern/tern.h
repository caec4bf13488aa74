// Includes all public headers of tern.
#pragma once

#include "tern/close.h"
#include "tern/connection.h"
#include "tern/delivery.h"
#include "tern/dial.h"
#include "tern/engine.h"
#include "tern/error.h"
#include "tern/event.h"
#include "tern/http.h"
#include "tern/loop.h"
#include "tern/message.h"
#include "tern/observe.h"
#include "tern/options.h"
#include "tern/proxy.h"
#include "tern/server.h"
#include "tern/tls.h"
#include "tern/unique_function.h"

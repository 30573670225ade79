// The one place where Boost.Asio's separately compiled half is built.
#include <boost/asio/impl/src.hpp>

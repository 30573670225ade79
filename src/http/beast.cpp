// The one place where Boost.Beast's separately compiled half is built.
#include <boost/beast/src.hpp>

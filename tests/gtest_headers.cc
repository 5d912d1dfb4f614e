// A library must have a source; see CMakeLists.txt.

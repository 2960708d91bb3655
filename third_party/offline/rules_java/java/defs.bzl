"""The rules that Bazel 4.2.3's own BUILD files load from rules_java: the built-in ones."""

java_binary = native.java_binary
java_import = native.java_import
java_runtime = native.java_runtime
java_toolchain = native.java_toolchain

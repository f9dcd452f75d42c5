// Before each test file: the engine that HOOKLENS_ENGINE names, as in a program that imports the package in Node.
import "../../ts/platform/start-node.ts";

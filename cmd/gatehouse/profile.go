//go:build profile

package main

import (
	"fmt"
	"os"
	"runtime/pprof"
)

// profileEnv names the file that the profile is written to.
const profileEnv = "GATEHOUSE_CPU_PROFILE"

// startProfile writes a CPU profile of the whole run to a file, until stop is called. It is in builds for `make profile` only: a server
// that people use shows nobody where it spends its time.
func startProfile() (stop func()) {
	name := os.Getenv(profileEnv)
	if name == "" {
		return func() {}
	}
	file, err := os.Create(name)
	if err == nil {
		err = pprof.StartCPUProfile(file)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", profileEnv, err)
		os.Exit(exitFailure)
	}
	return func() {
		pprof.StopCPUProfile()
		if err := file.Close(); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", profileEnv, err)
		}
	}
}

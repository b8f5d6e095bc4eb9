package main

import (
	"testing"

	"github.com/gatehouse/gatehouse/internal/flags"
)

// TestServedVersion is what kubectl compares with its own version, letter by letter, under --match-server-version.
func TestServedVersion(t *testing.T) {
	for profile, want := range map[flags.Profile]string{
		flags.Compatible: "v1.36.3",
		flags.Hardened:   "v1.36.3+gatehouse",
	} {
		if got := served(profile).GitVersion; got != want {
			t.Errorf("/version of the %s profile: %s, want %s", profile, got, want)
		}
	}
}

//go:build !profile

package main

// startProfile does nothing in a build without the tag profile.
func startProfile() (stop func()) { return func() {} }

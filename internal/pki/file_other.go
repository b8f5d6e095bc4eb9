//go:build !unix

package pki

import "io/fs"

// ownerOf reports false: there are no user ids here, access lists govern.
func ownerOf(fs.FileInfo) (uid int, ok bool) { return 0, false }

// syncDir does nothing: directories cannot be synced here.
func syncDir(string) error { return nil }

package admission

// Mutators that others outside of this server write see an object before later mutators have changed it. One of them may therefore ask for a second
// round, in which those that want to see the result get it. There is no third, so that no two of them can change an object for ever.

// round is where the attributes are among the mutators.
type round struct {
	again, second bool
	kept          map[string]any
}

// AskAgain asks for a second round of all mutators. In the second one it does nothing.
func (a *Attributes) AskAgain() { a.round.again = true }

// SecondRound reports whether the mutators are run for the second time.
func (a *Attributes) SecondRound() bool { return a.round.second }

// Keep remembers a value of one plugin until the request ends.
func (a *Attributes) Keep(plugin string, value any) {
	if a.round.kept == nil {
		a.round.kept = map[string]any{}
	}
	a.round.kept[plugin] = value
}

// Kept returns what the plugin keeps, or nil.
func (a *Attributes) Kept(plugin string) any { return a.round.kept[plugin] }

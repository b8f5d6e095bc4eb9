package audit_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse/gatehouse/audit"
)

// TestRoomOfEventsIsUsedAgainOnlyWhenDurable guards against an event that is overwritten by a later one while it may have to be written again.
// Clients read and write objects with names of all lengths, of which many get the room of events before, while syncs and writes fail
// now and then, before and after they took effect. Every read and every write that was not refused must be on record once, as it was.
func TestRoomOfEventsIsUsedAgainOnlyWhenDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path, d := logPath(t), &disk{}
		l, err := audit.OpenWrapped(audit.Options{Path: path}, d.wrap)
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex // guards want
		want := map[string]int{}
		const rounds, clients = 20, 8
		for round := range rounds {
			switch round % 5 {
			case 1:
				d.failSyncs(notPersisted)
			case 2:
				d.failWrites(halfWritten)
			case 3:
				d.failSyncs(persisted)
			case 4:
				d.failWrites(writtenInFull)
			}
			var wg sync.WaitGroup
			for client := range clients {
				wg.Go(func() {
					for i := range 10 {
						method, stages := "GET", []audit.Stage{audit.StageResponseComplete}
						if i == client {
							method, stages = "DELETE", []audit.Stage{audit.StageRequestReceived, audit.StageResponseComplete}
						}
						name := fmt.Sprintf("%s-%d-%d-%d-%s", strings.ToLower(method), round, client, i, strings.Repeat("x", 97*(i+client+round)%900))
						rec, err := receive(context.Background(), l, request(t, method, "/api/v1/namespaces/a/pods/"+name))
						if err != nil {
							refusedAs503(t, err)
							continue
						}
						rec.Finish(200, nil)
						mu.Lock()
						for _, stage := range stages {
							want[string(stage)+" "+name]++
						}
						mu.Unlock()
					}
				})
			}
			wg.Wait()
			time.Sleep(2 * time.Second) // of the bubble's clock: the log recovers and makes everything durable
		}
		closeLog(t, l)
		got := map[string]int{}
		for _, e := range events(t, path) {
			if e.ObjectRef.Name != e.RequestURI[strings.LastIndexByte(e.RequestURI, '/')+1:] {
				t.Fatalf("an event is of two requests: %q and %q", e.ObjectRef.Name, e.RequestURI)
			}
			got[string(e.Stage)+" "+e.ObjectRef.Name]++
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("log (-want +got):\n%s", diff)
		}
		expectWhole(t, path)
	})
}

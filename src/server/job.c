/* job.c -- what a worker asks of the reload thread. */
#include "server/job.h"

#include <stdlib.h>

void
job_free(struct job *job)
{
	if (job == NULL)
		return;
	buffer_finish(&job->status);
	free(job);
}

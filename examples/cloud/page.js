// Shows sizes as they finish. An answer comes when there is news, or after a second.
const photos = document.getElementById("photos");

async function look() {
  try {
    const answer = await fetch("/photos");
    if (answer.ok) photos.innerHTML = await answer.text();
  } catch {
    // The page's server is away: it may come back.
  }
  lookAgain();
}

function lookAgain() {
  if (photos.querySelector(".waits")) setTimeout(look, 300);
}

lookAgain();
